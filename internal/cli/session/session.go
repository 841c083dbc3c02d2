package session

// Session is one run of the program. Commands read the flags from it after
// they were parsed.
type Session struct {
	Env    Env
	Conn   Connection
	Format string // table, json or yaml
	Field  string // print only this field, raw; "" = all
	// NonInteractive keeps commands from asking on the terminal.
	NonInteractive bool
}

// Exit ends the program with a code and no message: the command said all.
type Exit int

func (Exit) Error() string { return "" }
