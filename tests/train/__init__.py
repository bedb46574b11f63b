"""Tests of training: it learns, it is reproducible to the bit, and nothing that stops it costs more than an epoch."""
