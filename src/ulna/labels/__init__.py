"""What the values of masks mean: classes, packed values."""
