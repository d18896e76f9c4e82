"""Continued pretraining on the shards of `corpus-ja build`, over transformers' Trainer; `run.py` is the place to begin."""
