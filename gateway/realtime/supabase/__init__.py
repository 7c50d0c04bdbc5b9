"""The Supabase Realtime transport: `/realtime/v1/websocket`."""
