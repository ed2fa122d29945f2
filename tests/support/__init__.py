"""What tests share: servers they start, and rules about how a test run may end."""
