"""Stages of a training with the models of the catalogue; sweeps over the penalty."""
