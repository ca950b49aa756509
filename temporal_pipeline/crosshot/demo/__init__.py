"""Demo data with a known answer: a small invented world, crawled for 30 days and two rounds more."""

from temporal_pipeline.crosshot.demo.loading import load_demo, plant_application_period, play_round
from temporal_pipeline.crosshot.demo.planted import PLANTED, Planted

__all__ = ["PLANTED", "Planted", "load_demo", "plant_application_period", "play_round"]
