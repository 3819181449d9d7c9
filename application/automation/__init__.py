"""Recording of fired rule triggers."""
