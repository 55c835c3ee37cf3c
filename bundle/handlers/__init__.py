"""Ignite handlers: checkpoints, seeding and results."""

from bundle.handlers.checkpoint_loader import CheckpointLoader
from bundle.handlers.checkpoint_saver import CheckpointSaver
from bundle.handlers.compared_methods import ComparedMethods
from bundle.handlers.data_consistency import RefineReconstruction, ResidualTable
from bundle.handlers.epoch_seeder import EpochSeeder
from bundle.handlers.finite_volumes import FiniteVolumes
from bundle.handlers.input_errors import InputErrors
from bundle.handlers.metrics_table import MetricsTable
from bundle.handlers.reconstruction_saver import ReconstructionSaver
from bundle.handlers.resume import ResumeTraining
from bundle.handlers.run_settings import RunSettings
from bundle.handlers.shared_buffers import SharedBuffers
from bundle.handlers.time_slice import TimeSlice
from bundle.handlers.training_progress import TrainingProgress
from bundle.handlers.weight_average import WeightAverage

__all__ = [
    "CheckpointLoader",
    "CheckpointSaver",
    "ComparedMethods",
    "EpochSeeder",
    "FiniteVolumes",
    "InputErrors",
    "MetricsTable",
    "ReconstructionSaver",
    "RefineReconstruction",
    "ResidualTable",
    "ResumeTraining",
    "RunSettings",
    "SharedBuffers",
    "TimeSlice",
    "TrainingProgress",
    "WeightAverage",
]
