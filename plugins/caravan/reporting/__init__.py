"""What people outside the warehouse see: the report and the published tables."""
