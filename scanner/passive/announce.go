package passive

import "time"

func (r *reader) announce(s *segment, at time.Time) {}

func (r *reader) link(s *segment, at time.Time) {}
