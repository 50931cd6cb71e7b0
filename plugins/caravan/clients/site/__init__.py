"""The company's own site as files: pages, feeds and sitemaps in a folder or a bucket, and what is read back of them."""
