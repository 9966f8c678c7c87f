"""What ours is measured against, and the harness that runs both in turn."""
