"""What people look at: charts, pages, and folders of results."""
