// Package gauge writes what a report says as metrics, in a file that the textfile collector
// of Prometheus' node_exporter reads: between two reports no process lives that could be
// asked.
//
//	strongkeep_encryption_values{resource,provider,state}   of the last report, by State
//	strongkeep_encryption_answer{question,answer}           1 for what it answers
//	strongkeep_encryption_report_timestamp_seconds          when it looked
//	strongkeep_encryption_report_number                     in its chain
//	strongkeep_encryption_run_timestamp_seconds             when a report was last tried
//	strongkeep_encryption_run_success                       1 if there is one of it
//
// Start reading at Write.
package gauge
