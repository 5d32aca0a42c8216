"""The commands behind ``minigrad``: one file each, imported when called."""
