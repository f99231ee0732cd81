package serve

// Routes returns the routes as "GET /path".
func Routes() []string {
	var all []string
	for _, r := range routes {
		all = append(all, r.Method+" "+r.Path)
	}
	return all
}
