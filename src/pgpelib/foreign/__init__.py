"""Reading files written by others as data, in bounded time and memory."""
