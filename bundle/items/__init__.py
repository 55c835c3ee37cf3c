"""Training items that outlive a run: made once, from a recipe and a number, and read by every training since."""

from bundle.items.folder import ItemFolder
from bundle.items.item import Item
from bundle.items.recipe import ItemRecipe, Plan
from bundle.items.run import make_items
from bundle.items.training import StoredItems, TrainingItem

__all__ = ["Item", "ItemFolder", "ItemRecipe", "Plan", "StoredItems", "TrainingItem", "make_items"]
