"""Analysis: backtests, calibration and the figures drawn of them."""
