"""Image quality with an explicit data range."""

from bundle.metrics.image_quality import psnr, quality, ssim_3d, ssim_slices

__all__ = ["psnr", "quality", "ssim_3d", "ssim_slices"]
