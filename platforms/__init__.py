"""What the platforms around the product know and do, each by its own API: Heroku, and Amazon's EC2 and Route 53."""
