package redis

import "github.com/mepc/mepc-run/internal/state"

import "fmt"

// Load adds the keys of a state.
func (s *Server) Load(st *state.State) error {
	if len(st.Redis) > 0 {
		if err := s.loadDB(0, st.Redis); err != nil {
			return err
		}
	}
	for n, keys := range st.RedisDBs {
		s.use(n)
		if err := s.loadDB(n, keys); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) loadDB(n int, keys map[string]state.RedisKey) error {
	db := s.Mini().DB(n)
	for name, k := range keys {
		if err := putKey(db, name, &k); err != nil {
			return fmt.Errorf("redis key %q: %w", name, err)
		}
		if k.TTL > 0 {
			db.SetTTL(name, k.TTL.Std())
		}
	}
	return nil
}

// State puts all keys into a state.
func (s *Server) State(st *state.State) error {
	for _, n := range s.databases() {
		keys, err := s.dump(n)
		switch {
		case err != nil:
			return err
		case n == 0:
			st.Redis = keys
		case len(keys) > 0:
			if st.RedisDBs == nil {
				st.RedisDBs = map[int]map[string]state.RedisKey{}
			}
			st.RedisDBs[n] = keys
		}
	}
	return nil
}

// CopyTo puts all keys into another.
func (s *Server) CopyTo(n *Server) error {
	for _, db := range s.databases() {
		keys, err := s.dump(db)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			continue
		}
		n.use(db)
		if err := n.loadDB(db, keys); err != nil {
			return err
		}
	}
	return nil
}

// dump returns the keys of one database.
func (s *Server) dump(n int) (map[string]state.RedisKey, error) {
	s.mu.Lock()
	unused := s.mini == nil
	s.mu.Unlock()
	if unused {
		return nil, nil
	}
	m := s.Mini()
	if err := s.isEnded(); err != nil {
		return nil, err
	}
	m.DB(n) // what has expired goes
	db := m.DB(n)
	var out map[string]state.RedisKey
	for _, name := range db.Keys() {
		k, err := readKey(db, name)
		if err != nil {
			return nil, fmt.Errorf("redis key %q: %w", name, err)
		}
		k.TTL = state.Duration(db.TTL(name))
		if out == nil {
			out = map[string]state.RedisKey{}
		}
		out[name] = k
	}
	return out, nil
}
