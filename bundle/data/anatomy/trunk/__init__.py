"""The trunk: chest, abdomen and pelvis as windows of one body."""
