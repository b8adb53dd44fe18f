"""The config file: experiments, scales, and checks before anything is trained."""
