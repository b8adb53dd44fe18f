"""Folders of agents, and their registration with the installed posggym."""
