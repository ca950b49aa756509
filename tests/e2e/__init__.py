"""The web interface as analysts use it: in a real browser, on the demo."""
