"""A run or a release as charts and as one page: what it holds, drawn once for the page, PNG and SVG."""
