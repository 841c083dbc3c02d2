// Package catalog serves sys/plugins/catalog: the engines and methods that there
// are. All are part of the program; there are no plugins, so that nothing that
// is not reviewed and built with it ever runs beside the keys.
//
// Start reading at Routes.
package catalog
