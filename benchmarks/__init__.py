"""Measured claims: peers and this project side by side in one run, told as ratios. `make bench` runs them."""
