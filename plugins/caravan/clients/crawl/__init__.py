"""Reading a web site as a search engine does: what it answers, what its pages say, what they lead to."""
