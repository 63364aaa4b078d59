package cert

// extensionLints are lints of zlint about one extension: none applies to a certificate
// without it.
type extensionLints struct {
	every []string // they apply to every certificate that has it
	some  []string // they ask for more
}

// aboutExtensions are the lints of zlint about extensions. To ask each of them whether
// it applies takes a quarter of the time of all, because zlint writes the object
// identifier out as text each time.
func aboutExtensions() map[string]extensionLints {
	return map[string]extensionLints{
		"1.3.6.1.4.1.11129.2.4.3": {every: []string{"e_precert_with_sct_list"}},
		"1.3.6.1.5.5.7.1.1": {
			every: []string{"e_ext_aia_marked_critical"},
			some:  []string{"w_ext_aia_access_location_missing"},
		},
		"1.3.6.1.5.5.7.1.11": {every: []string{"e_subject_info_access_marked_critical"}},
		"2.5.29.9":           {every: []string{"e_ext_subject_directory_attr_critical"}},
		"2.5.29.14":          {every: []string{"e_ext_subject_key_identifier_critical"}},
		"2.5.29.15": {
			every: []string{
				"e_ext_key_usage_cert_sign_without_ca", "w_ext_key_usage_not_critical", "e_ext_key_usage_without_bits",
				"e_key_usage_incorrect_length",
			},
			some: []string{
				"e_ecdsa_allowed_ku", "n_ecdsa_ee_invalid_ku", "e_rsa_allowed_ku_ca", "e_rsa_allowed_ku_ee",
				"e_rsa_allowed_ku_no_encipherment_ca", "e_superfluous_ku_encoding", "e_incorrect_ku_encoding",
			},
		},
		"2.5.29.17": {
			every: []string{
				"e_ext_san_dns_not_ia5_string", "e_ext_san_empty_name", "e_ext_san_no_entries",
				"e_ext_san_not_critical_without_subject", "e_ext_san_rfc822_format_invalid", "e_ext_san_space_dns_name",
				"e_ext_san_uri_format_invalid", "e_ext_san_uri_host_not_fqdn_or_ip", "e_ext_san_uri_not_ia5",
				"e_ext_san_uri_relative", "e_international_dns_name_not_unicode", "e_international_dns_name_not_nfc",
			},
			some: []string{"e_ext_san_dns_name_too_long"},
		},
		"2.5.29.18": {
			every: []string{
				"w_ext_ian_critical", "e_ext_ian_dns_not_ia5_string", "e_ext_ian_empty_name", "e_ext_ian_no_entries",
				"e_ext_ian_rfc822_format_invalid", "e_ext_ian_space_dns_name", "e_ext_ian_uri_format_invalid",
				"e_ext_ian_uri_host_not_fqdn_or_ip", "e_ext_ian_uri_not_ia5", "e_ext_ian_uri_relative",
			},
		},
		"2.5.29.19": {
			every: []string{"e_basic_constr_invalid_der", "e_path_len_constraint_improperly_included"},
			some:  []string{"e_basic_constraints_not_critical"},
		},
		"2.5.29.30": {
			every: []string{
				"e_ext_name_constraints_not_critical", "e_ext_name_constraints_not_in_ca",
				"e_name_constraint_maximum_not_absent", "e_name_constraint_minimum_non_zero", "e_name_constraint_not_fqdn",
				"w_name_constraint_on_edi_party_name", "w_name_constraint_on_registered_id", "w_name_constraint_on_x400",
			},
			some: []string{"e_name_constraint_empty"},
		},
		"2.5.29.31": {
			every: []string{
				"e_distribution_point_incomplete", "w_distribution_point_missing_ldap_or_uri",
				"w_ext_crl_distribution_marked_critical",
			},
		},
		"2.5.29.32": {
			every: []string{"w_ext_cert_policy_contains_noticeref", "e_ext_cert_policy_duplicate"},
			some:  []string{"e_ext_cert_policy_disallowed_any_policy_qualifier"},
		},
		"2.5.29.33": {
			every: []string{
				"e_ext_policy_map_any_policy", "w_ext_policy_map_not_critical", "w_ext_policy_map_not_in_cert_policy",
			},
		},
		"2.5.29.35": {every: []string{"e_ext_authority_key_identifier_critical"}},
		"2.5.29.36": {
			every: []string{"e_ext_policy_constraints_not_critical"},
			some:  []string{"e_ext_policy_constraints_empty"},
		},
		"2.5.29.37": {
			every: []string{"w_eku_critical_improperly"},
			some:  []string{"e_key_usage_and_extended_key_usage_inconsistent"},
		},
		"2.5.29.46": {every: []string{"e_ext_freshest_crl_marked_critical"}},
		"2.5.29.54": {every: []string{"e_inhibit_any_policy_not_critical"}},
	}
}
