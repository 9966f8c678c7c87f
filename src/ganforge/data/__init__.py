"""Data: named sets, toy laws, idx files, pictures, arrays, the packed store, and batches."""
