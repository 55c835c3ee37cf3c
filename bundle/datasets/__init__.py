"""Finding and reading public CT data sets as they are downloaded."""

from bundle.datasets.catalogue import DATASETS, DataSet, find_cases
from bundle.datasets.raw_case import RawCase, RawFile, RawVolume
from bundle.datasets.sources import describe_sources, source_files

__all__ = ["DATASETS", "DataSet", "RawCase", "RawFile", "RawVolume", "describe_sources", "find_cases", "source_files"]
