"""POSGGym's policy files: read as data, written reproducibly, downloaded in bounds."""
