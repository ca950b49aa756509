"""Which crawl queries were worth their cost, per period."""
