"""The doctor: is this server and database fit for a migration, and is all well after one?"""
