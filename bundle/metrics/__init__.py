"""Image quality with an explicit data range, overlap of structures, and what can be said of such figures."""

from bundle.metrics.agreement import Agreement, bland_altman
from bundle.metrics.image_quality import psnr, quality, ssim_3d, ssim_slices
from bundle.metrics.overlap import overlap_rows
from bundle.metrics.statistics import PairedTest, bootstrap_interval, paired_test
from bundle.metrics.visual_information import visual_information_fidelity

__all__ = [
    "Agreement",
    "PairedTest",
    "bland_altman",
    "bootstrap_interval",
    "overlap_rows",
    "paired_test",
    "psnr",
    "quality",
    "ssim_3d",
    "ssim_slices",
    "visual_information_fidelity",
]
