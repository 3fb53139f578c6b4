"""What the platforms around the product know and do, each by its own API: Heroku."""
