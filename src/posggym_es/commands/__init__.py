"""The console command `posggym-es`, with one module for each of its commands."""
