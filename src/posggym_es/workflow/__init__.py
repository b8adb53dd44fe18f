"""Helpers of the Snakemake workflow and its scripts."""
