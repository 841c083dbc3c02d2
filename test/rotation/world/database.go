package world

import (
	"database/sql"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// adminPassword is that of the user as whom the vault logs in.
const adminPassword = "vault/4dmin p@ss"

// prepareDatabase makes what a person would: the user of the vault, who may make
// users and see their sessions and no more, and what the application reads.
func (w *World) prepareDatabase() {
	w.Helper()
	admin, group := w.name("vault"), w.name("app")
	w.remember("the password of the vault's own user", adminPassword)
	config := map[string]any{"allowed_roles": "*", "username": admin, "password": adminPassword, "max_open_connections": 4}
	if w.Database.Kind == "mariadb" {
		w.SQL(
			"CREATE DATABASE "+group, "CREATE TABLE "+group+".item (n int)", "INSERT INTO "+group+".item VALUES (1)",
			"CREATE USER '"+admin+"'@'%' IDENTIFIED BY '"+adminPassword+"'",
			"GRANT ALL PRIVILEGES ON *.* TO '"+admin+"'@'%' WITH GRANT OPTION",
		)
		config["plugin_name"], config["connection_url"] = "mysql-database-plugin", "{{username}}:{{password}}@tcp("+w.Database.Address+")/"
	} else {
		w.SQL(
			"CREATE ROLE "+group, "CREATE TABLE "+group+" (n int)", "INSERT INTO "+group+" VALUES (1)",
			"GRANT SELECT ON "+group+" TO "+group,
			"CREATE ROLE "+admin+" LOGIN CREATEROLE PASSWORD '"+adminPassword+"' IN ROLE pg_read_all_stats, pg_signal_backend",
			"GRANT "+group+" TO "+admin+" WITH ADMIN OPTION",
		)
		config["plugin_name"], config["connection_url"] = "postgresql-database-plugin",
			"postgresql://{{username}}:{{password}}@"+w.Database.Address+"/postgres?sslmode=disable"
	}
	w.Write("database/config/db", config)
}

// UsersOf are the two that alternate.
func (w *World) UsersOf() []string { return []string{w.name("a"), w.name("b")} }

// Query is what the applications ask, and their database.
func (w *World) Query() (query, database string) {
	if w.Database.Kind == "mariadb" {
		return "SELECT n FROM item", w.name("app")
	}
	return "SELECT n FROM " + w.name("app"), "postgres"
}

// Role writes the role of alternating users "app"; creation replaces its usual
// creation statement.
func (w *World) Role(creation string) {
	w.Helper()
	role := map[string]any{"db_name": "db", "usernames": w.UsersOf()}
	create := []string{`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' IN ROLE ` + w.name("app")}
	remove := []string{`DROP ROLE IF EXISTS "{{name}}"`}
	if w.Database.Kind == "mariadb" {
		create = []string{"CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'", "GRANT SELECT ON " + w.name("app") + ".* TO '{{name}}'@'%'"}
		remove = []string{"DROP USER IF EXISTS '{{name}}'@'%'"}
	}
	if creation != "" {
		create = []string{creation}
	}
	role["creation_statements"], role["revocation_statements"] = create, remove
	w.Write("database/alternating-roles/app", role)
}

// SQL runs statements as the database's administrator.
func (w *World) SQL(statements ...string) {
	w.Helper()
	db := w.administrator()
	defer func() { _ = db.Close() }()
	for _, text := range statements {
		if _, err := db.ExecContext(w.Context(), text); err != nil {
			w.Fatalf("%s: %v", strings.ReplaceAll(text, adminPassword, "***"), err)
		}
	}
}

func (w *World) administrator() *sql.DB {
	w.Helper()
	s := w.Database
	if s.Kind == "mariadb" {
		db, err := sql.Open("mysql", s.URL(s.User, s.Password))
		if err != nil {
			w.Fatal(err)
		}
		return db
	}
	conf, err := pgx.ParseConfig("postgres://" + s.Address + "/postgres?sslmode=disable")
	if err != nil {
		w.Fatal(err)
	}
	conf.User, conf.Password = s.User, s.Password
	return stdlib.OpenDB(*conf)
}

// Users are those of the two that the database has, and whether each may log in.
func (w *World) Users() map[string]bool {
	w.Helper()
	query := "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname IN ('%s', '%s')"
	if w.Database.Kind == "mariadb" {
		query = "SELECT user, COALESCE(JSON_VALUE(priv, '$.account_locked'), 0) = 0 FROM mysql.global_priv WHERE user IN ('%s', '%s')"
	}
	db := w.administrator()
	defer func() { _ = db.Close() }()
	names := w.UsersOf()
	rows, err := db.QueryContext(w.Context(), fmt.Sprintf(query, names[0], names[1]))
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	found := map[string]bool{}
	for rows.Next() {
		var name string
		var open bool
		if err := rows.Scan(&name, &open); err != nil {
			w.Fatal(err)
		}
		found[name] = open
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	return found
}

// Login logs in once as an application would, and says why it cannot.
func (w *World) Login(user, password string) error {
	w.Helper()
	_, database := w.Query()
	var db *sql.DB
	if w.Database.Kind == "mariadb" {
		c := mysql.NewConfig()
		c.User, c.Passwd, c.Net, c.Addr, c.DBName = user, password, "tcp", w.Database.Address, database
		connector, err := mysql.NewConnector(c)
		if err != nil {
			w.Fatal(err)
		}
		db = sql.OpenDB(connector)
	} else {
		c, err := pgx.ParseConfig("postgres://" + w.Database.Address + "/" + database + "?sslmode=disable")
		if err != nil {
			w.Fatal(err)
		}
		c.User, c.Password = user, password
		db = stdlib.OpenDB(*c)
	}
	defer func() { _ = db.Close() }()
	return db.PingContext(w.Context())
}
