"""A receptionist that answers guests on WhatsApp, and the desk of its operators."""
