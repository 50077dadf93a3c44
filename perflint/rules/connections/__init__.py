"""PRF6xx: connections: clients and sessions built again and again, pools too small, responses left open."""
