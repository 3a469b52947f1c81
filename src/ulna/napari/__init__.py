"""The plugin for napari: runs, predicted masks and volumes as layers, and a model that predicts layers."""
