"""Figures as PNG and SVG. Everything but `packages` needs the extra `plots`."""
