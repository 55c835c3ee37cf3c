"""nnU-Net: prepared sets as its raw data sets, its programs, and its trained models as segmenters."""
