"""Messages of the native API, its problem document and signed URLs: what the server and client wings share."""
