"""The platforms around the product: Heroku, Amazon's EC2 and Route 53, and PostgreSQL's backup programs."""
