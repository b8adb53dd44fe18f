"""What the Snakemake workflow and its scripts share."""
