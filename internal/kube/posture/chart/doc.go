// Package chart renders Helm charts with Helm's own engine, without a cluster: as
// `helm template` does.
//
// A chart is a program that somebody else may have written. So it is rendered in a
// process of its own (Render), which is this program again with Command as its
// argument, without environment, and is ended when it takes too long or too much
// memory; in it Main does the work. What is read is the chart and nothing else: no
// link out of its folder is followed, its schema is not looked at, since schemas may
// name files and addresses, and its templates have neither a cluster (lookup finds
// nothing) nor a network nor an environment.
//
// Values may be secrets. What went wrong is told by file and line, and by words that
// neither values nor their parts can be among.
//
// Start reading at Render, then Main.
package chart
