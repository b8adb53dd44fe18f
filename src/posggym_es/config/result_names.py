"""Names of files in the results folder of an experiment."""

CONFIG_FILE = "config.json"
CURVE_FILE = "learning_curve.png"
